<?php
$inbox = fopen('php://fd/0', 'r+'); // shared with the other workers, who take what this one does not
$port_of = fn (string $address) => (int) substr($address, strrpos($address, ':') + 1);
$own_port = $port_of(stream_socket_get_name($inbox, false));
$stop = false;
pcntl_async_signals(true);
pcntl_signal(SIGTERM, function () use (&$stop) { $stop = true; }, false); // ends a wait
while (!$stop) {
    $data = stream_socket_recvfrom($inbox, 65535, 0, $peer);
    if ($data === false || $port_of($peer) < 1024 || $port_of($peer) === $own_port) {
        continue; // it was told to stop; or a service there would answer the answer, for ever
    }
    if (@stream_socket_sendto($inbox, $data, 0, $peer) === -1) {
        error_log('the answer cannot be sent: ' . error_get_last()['message']);
    }
}
