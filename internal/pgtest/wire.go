package pgtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// protocol is version 3.0 of the protocol between client and server: PostgreSQL documentation, chapter
// "Frontend/Backend Protocol". This module has no requirement, so the few messages that the tests' server needs are
// spoken here.
const protocol = 3 << 16

// maxMessage bounds what the server may send in one message.
const maxMessage = 1 << 20

// query runs a statement over the server's socket, where it asks for no password, and returns the first column.
func (s *Server) query(ctx context.Context, database, statement string) (column []string, err error) {
	socket := filepath.Join(s.dir, ".s.PGSQL."+strconv.Itoa(s.port))
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	answers := bufio.NewReader(conn)

	startup := binary.BigEndian.AppendUint32(nil, protocol)
	startup = append(startup, "user\x00"+userName+"\x00database\x00"+database+"\x00\x00"...)
	if err := sendMessage(conn, 0, startup); err != nil {
		return nil, err
	}
	if _, err := readAnswer(answers); err != nil {
		return nil, err
	}
	if err := sendMessage(conn, 'Q', append([]byte(statement), 0)); err != nil {
		return nil, err
	}
	if column, err = readAnswer(answers); err != nil {
		return nil, fmt.Errorf("%s: %w", statement, err)
	}
	return column, sendMessage(conn, 'X', nil)
}

// sendMessage writes a message of a kind; the first of a connection has none.
func sendMessage(w io.Writer, kind byte, body []byte) error {
	var message []byte
	if kind != 0 {
		message = append(message, kind)
	}
	message = binary.BigEndian.AppendUint32(message, uint32(4+len(body)))
	_, err := w.Write(append(message, body...))
	return err
}

// readAnswer reads messages until the server is ready for the next statement, and returns the first column of the rows.
func readAnswer(r *bufio.Reader) (column []string, failure error) {
	for {
		kind, err := r.ReadByte()
		if err != nil {
			return nil, errors.Join(failure, err)
		}
		var length uint32
		if err := binary.Read(r, binary.BigEndian, &length); err != nil {
			return nil, errors.Join(failure, err)
		}
		if length < 4 || length > maxMessage {
			return nil, fmt.Errorf("message %q of %d bytes", kind, length)
		}
		body := make([]byte, length-4)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, errors.Join(failure, err)
		}
		switch kind {
		case 'Z':
			return column, failure
		case 'E':
			failure = errors.New(strings.Join(strings.FieldsFunc(string(body), func(c rune) bool { return c == 0 }), " "))
		case 'D':
			value, err := firstColumn(body)
			if err != nil {
				return nil, err
			}
			column = append(column, value)
		}
	}
}

// firstColumn reads a row: the number of columns, and each with its length before it, which is negative for a null.
func firstColumn(row []byte) (string, error) {
	if len(row) < 6 {
		return "", fmt.Errorf("a row of %d bytes", len(row))
	}
	length := int32(binary.BigEndian.Uint32(row[2:]))
	if value := row[6:]; length >= 0 && int(length) <= len(value) {
		return string(value[:length]), nil
	}
	return "", fmt.Errorf("a column of %d bytes in a row of %d", length, len(row))
}
