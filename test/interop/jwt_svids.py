"""Fetches and validates JWT-SVIDs with the `spiffe` package, and watches the JWT bundles; a JSON line for each look."""

import json
import sys
import threading

import jwt
from spiffe import JwtSvid, WorkloadApiClient

socket, audience = sys.argv[1], sys.argv[2]
wanted = int(sys.argv[3])
done = threading.Event()
seen = []


def say(kind, **more):
    print(json.dumps({"kind": kind, **more}), flush=True)


def look(client, bundles):
    token = client.fetch_jwt_svid(audience={audience})
    own = next(b for b in bundles.bundles if b.trust_domain == token.spiffe_id.trust_domain)
    # By the package itself, against the bundle; then by the agent.
    local = JwtSvid.parse_and_validate(token.token, own, {audience})
    remote = client.validate_jwt_svid(token.token, audience)
    try:
        client.validate_jwt_svid(token.token, "somebody else")
        refused = ""
    except Exception as error:
        refused = str(error)
    say(
        "look",
        spiffeId=[str(local.spiffe_id), str(remote.spiffe_id)],
        audience=sorted(local.audience),
        kid=jwt.get_unverified_header(token.token)["kid"],
        refused=refused,
        keys={b.trust_domain.name: sorted(b.jwt_authorities) for b in bundles.bundles},
        roots={b.trust_domain.name: len(b.x509_authorities) for b in client.fetch_x509_bundles().bundles},
    )


with WorkloadApiClient(f"unix://{socket}") as client:

    def updated(bundles):
        try:
            look(client, bundles)
        except Exception as error:
            say("error", text=repr(error))
        seen.append(bundles)
        if len(seen) >= wanted:
            done.set()

    def failed(error):
        say("error", text=repr(error))

    svid = client.fetch_x509_svid()
    say("x509", spiffeId=str(svid.spiffe_id), chainLength=len(svid.cert_chain))
    cancel = client.stream_jwt_bundles(updated, failed)
    ok = done.wait(60)
    cancel.cancel()

sys.exit(0 if ok else 1)
