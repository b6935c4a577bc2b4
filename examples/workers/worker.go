package main

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// A goroutine that blocks in the kernel, by a call of its own. A net.PacketConn would wait in Go's own epoll, where a
// datagram wakes all workers.
func main() {
	var stop int32
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() { <-told; atomic.StoreInt32(&stop, 1) }()
	syscall.SetNonblock(0, false) // as an event loop may have left it otherwise
	syscall.SetsockoptTimeval(0, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 1})
	own, _ := syscall.Getsockname(0)
	data := make([]byte, 65535)
	for atomic.LoadInt32(&stop) == 0 {
		size, peer, err := syscall.Recvfrom(0, data, 0)
		// Else a second is over, or a signal came, or whoever it is would answer the answer, for ever.
		if err == nil && port(peer) >= 1024 && port(peer) != port(own) {
			syscall.Sendto(0, data[:size], 0, peer)
		}
	}
}

func port(of syscall.Sockaddr) int {
	switch address := of.(type) {
	case *syscall.SockaddrInet4:
		return address.Port
	case *syscall.SockaddrInet6:
		return address.Port
	}
	return 0
}
