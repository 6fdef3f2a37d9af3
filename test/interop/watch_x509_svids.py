"""Fetches, then watches the X.509 SVIDs of this process with the `spiffe` package; a JSON line for each update."""

import json
import sys
import threading

from spiffe import WorkloadApiClient

socket, wanted = sys.argv[1], int(sys.argv[2])
done = threading.Event()
serials = []


def tell(kind, svid, trust_domains):
    print(
        json.dumps(
            {
                "kind": kind,
                "spiffeId": str(svid.spiffe_id),
                "serial": format(svid.leaf.serial_number, "x"),
                "chainLength": len(svid.cert_chain),
                "trustDomains": trust_domains,
            }
        ),
        flush=True,
    )


def updated(context):
    svid = context.default_svid
    bundles = context.x509_bundle_set.bundles
    domains = {bundle.trust_domain.name: len(bundle.x509_authorities) for bundle in bundles}
    tell("update", svid, domains)
    serials.append(svid.leaf.serial_number)
    if len(set(serials)) >= wanted:
        done.set()


def failed(error):
    print(json.dumps({"kind": "error", "text": str(error)}), flush=True)


with WorkloadApiClient(f"unix://{socket}") as client:
    tell("fetch", client.fetch_x509_svid(), {})
    cancel = client.stream_x509_contexts(updated, failed)
    ok = done.wait(60)
    cancel.cancel()

sys.exit(0 if ok else 1)
