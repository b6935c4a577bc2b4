import os, select, signal, socket, struct

inbox = socket.socket(fileno=0)  # shared with the other workers, who take what this one does not
outbox = inbox.dup()
unanswered = {0, 7, 11, 13, 17, 19, 37, inbox.getsockname()[1]}  # ports that would answer the answer, for ever
inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
signal.signal(signal.SIGTERM, lambda *_: inbox.close())  # ends the wait, and not the work on a datagram
while inbox.fileno() >= 0:
    try:
        if not os.get_blocking(0):  # since another program made the socket so for all
            select.select([inbox], [], [], 1)
        data, peer = inbox.recvfrom(65535)
        if peer[1] not in unanswered:
            outbox.sendto(data, peer)
    except (OSError, ValueError):
        pass  # a second is over, it was told to stop, or the answer cannot be sent
