"""A workload that has just begun: connects, asks, and tells how long after that its first SVID was there.

Python, because it starts in some ten milliseconds; and bytes made beforehand, so that next to nothing of the time is its own.
Arguments: the socket, then what to send, in hex. Prints microseconds.
"""

import socket
import sys
import time

DATA, HEADERS = 0, 1

path, request = sys.argv[1], bytes.fromhex(sys.argv[2])
began = time.perf_counter_ns()
connection = socket.socket(socket.AF_UNIX)
connection.connect(path)
connection.sendall(request)
received = b""
at = 0
while True:
    # RFC 9113 §4.1: length, type, flags, stream.
    while len(received) >= at + 9:
        end = at + 9 + int.from_bytes(received[at : at + 3])
        kind, flags = received[at + 3], received[at + 4]
        if len(received) < end:
            break
        # The first five bytes are gRPC's, and an answer without an SVID has nothing behind them.
        if kind == DATA and end - at - 9 > 5:
            print((time.perf_counter_ns() - began) // 1000)
            sys.exit(0)
        if kind == HEADERS and flags & 1:
            sys.exit("the call has ended without an SVID")
        at = end
    more = connection.recv(65536)
    if not more:
        sys.exit("the connection has ended without an SVID")
    received += more
