import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.*;

class Worker {
  static volatile boolean stop;

  public static void main(String[] arguments) throws Exception {
    var inbox = (DatagramChannel) System.inheritedChannel();  // descriptor 0, shared with the other workers
    var ownPort = ((InetSocketAddress) inbox.getLocalAddress()).getPort();
    var selector = Selector.open();  // an epoll
    inbox.configureBlocking(false).register(selector, SelectionKey.OP_READ);
    var server = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      stop = true;
      selector.wakeup();
      try { server.join(); } catch (InterruptedException unexpected) { }  // finishes what it holds
    }));
    var data = ByteBuffer.allocate(65535);
    while (!stop) {
      selector.select(key -> { });
      var peer = (InetSocketAddress) inbox.receive(data.clear());
      if (peer == null || peer.getPort() < 1024 || peer.getPort() == ownPort) continue;  // would answer the answer
      inbox.send(data.flip(), peer);
    }
  }
}
