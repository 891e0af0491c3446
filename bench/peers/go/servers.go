// servers.go: Go's servers: net with a goroutine for each connection, and net/http. They print their port and serve until
// they are killed.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	return listener
}

func serveEcho(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, 1024)
	for {
		connection.SetReadDeadline(time.Now().Add(30 * time.Second))
		got, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:got]); err != nil {
			return
		}
	}
}

func echo() {
	listener := listen()
	for {
		connection, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		go serveEcho(connection)
	}
}

func hello() {
	http.HandleFunc("/", func(response http.ResponseWriter, _ *http.Request) {
		response.Header().Set("Content-Type", "text/plain")
		io.WriteString(response, "Hello, world!")
	})
	server := http.Server{ReadTimeout: 30 * time.Second}
	fail(server.Serve(listen()))
}
