package websocket

import (
	"fmt"
	"sync/atomic"

	"github.com/gorilla/websocket"
)

// frameBytes is the most that a frame of a server has before its payload (RFC 6455, section 5.2).
const frameBytes = 10

// Message is encoded once, whoever it is sent to. It is immutable.
type Message struct {
	prepared *websocket.PreparedMessage
	bytes    int64
}

// Text returns a text message; the data must be UTF-8 and is copied.
func Text(data []byte) (*Message, error) { return prepare(websocket.TextMessage, data) }

// Binary returns a binary message; the data is copied.
func Binary(data []byte) (*Message, error) { return prepare(websocket.BinaryMessage, data) }

func prepare(kind int, data []byte) (*Message, error) {
	prepared, err := websocket.NewPreparedMessage(kind, data)
	if err != nil {
		return nil, fmt.Errorf("websocket: encode message: %w", err)
	}
	return &Message{prepared, int64(len(data)) + frameBytes}, nil
}

// Bytes is what the message takes in a queue.
func (m *Message) Bytes() int64 { return m.bytes }

// delivery is a message on its way to one client or to many. Its bytes are on the hub's account until the last one has
// written it or lost it.
type delivery struct {
	*Message
	hub     *Hub
	waiting atomic.Int64 // queues and writers that hold it, and who hands it out
}

// release gives back one hold.
func (d *delivery) release() {
	if d.waiting.Add(-1) == 0 {
		d.hub.account.give(d.bytes)
	}
}
