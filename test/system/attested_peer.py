"""A process that connects to an agent's socket and lets another one speak on that connection.

Arguments: the agent's socket, a socket for whoever is to speak. Commands come on standard input:
`exec PATH ARGS…` becomes another program, `exit` ends this process, `cgroup DIR` moves it. The child that
carries the bytes goes on in each case, as an attacker's would.
"""

import os
import select
import socket
import sys


def carry(agent: socket.socket, listener: socket.socket) -> None:
    """Waits for a speaker and carries bytes between the two, until one of them hangs up."""
    try:
        early = b""
        while listener not in select.select([agent, listener], [], [])[0]:
            data = agent.recv(65536)
            if not data:
                return
            early += data
        speaker, _ = listener.accept()
        speaker.sendall(early)
        other = {agent: speaker, speaker: agent}
        while True:
            for source in select.select([agent, speaker], [], [])[0]:
                data = source.recv(65536)
                if not data:
                    return
                other[source].sendall(data)
    except OSError:
        # One of them was ended while it was spoken to.
        return


def main() -> None:
    agent_path, speaker_path = sys.argv[1:3]
    agent = socket.socket(socket.AF_UNIX)
    agent.connect(agent_path)
    # The server speaks first, once it has accepted: from then on the kernel's word about us is its own.
    if not agent.recv(1, socket.MSG_PEEK):
        print("closed", flush=True)
        return
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(speaker_path)
    listener.listen(1)
    if os.fork() == 0:
        # A group of its own, so that the parent's number is free again once it has ended.
        os.setsid()
        carry(agent, listener)
        os._exit(0)
    print("ready", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "exec":
            os.execv(arguments[0], arguments)
        if command == "exit":
            os._exit(0)
        if command == "cgroup":
            with open(os.path.join(arguments[0], "cgroup.procs"), "w") as file:
                file.write(str(os.getpid()))
            print("moved", flush=True)


main()
