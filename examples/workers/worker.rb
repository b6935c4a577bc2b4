require "socket"

inbox = UDPSocket.for_fd(0) # shared with the other workers, who take what this one does not
own_port = inbox.local_address.ip_port
at_work = stop = false
trap("TERM") { at_work ? stop = true : exit }
until stop
  begin
    data, (_, port, _, address) = inbox.recvfrom(65_535) # with a timeout Ruby would wait by poll(2), where all wake up
    at_work = true
    inbox.send(data, 0, address, port) unless port < 1024 || port == own_port # would answer the answer, for ever
  rescue SystemCallError => error
    warn error.message # the answer cannot be sent
  ensure
    at_work = false
  end
end
