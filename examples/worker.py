import signal, socket, struct

inbox = socket.socket(fileno=0)  # shared with the other workers, who take what this one does not
outbox = inbox.dup()
unanswered = {0, 7, 11, 13, 17, 19, 37, inbox.getsockname()[1]}  # ports that would answer the answer, for ever
inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
signal.signal(signal.SIGTERM, lambda *_: inbox.close())  # ends the wait, and not the work on a datagram
while inbox.fileno() >= 0:
    try:
        data, peer = inbox.recvfrom(65535)
        if peer[1] not in unanswered:
            outbox.sendto(data, peer)
    except OSError:
        pass  # a second is over, it was told to stop, or the answer cannot be sent
