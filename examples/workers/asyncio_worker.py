import asyncio, contextlib, signal, socket, sys

if "--uvloop" in sys.argv:
    import uvloop
    uvloop.install()

answering = set()  # handlers that are under way


class Inbox(asyncio.DatagramProtocol):
    def datagram_received(self, data, peer):
        if peer[1] < 1024 or peer[1] == own_port:
            return  # a service there would answer the answer, for ever
        task = asyncio.ensure_future(answer(data, peer))
        answering.add(task)
        task.add_done_callback(answering.discard)


async def answer(data, peer):
    await asyncio.sleep(0)  # a database, another service
    with contextlib.suppress(OSError):  # it cannot be sent
        outbox.sendto(data, peer)


async def serve():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Inbox, sock=inbox)
    await stop.wait()
    transport.close()  # takes no more; what waits is the other workers'
    await asyncio.gather(*answering)


inbox = socket.socket(fileno=0)  # shared with the other workers, who take what this one does not
outbox = inbox.dup()
own_port = inbox.getsockname()[1]
asyncio.run(serve())
