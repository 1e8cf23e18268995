package serve

import (
	"context"
	"net"
	"os"

	"github.com/memwarden/memwarden/server/internal/notify"
)

// startNotifier begins to tell the receivers of the settings, if there are any.
func (s *service) startNotifier() error {
	c := s.o.Config
	if c.WebhookURL == "" {
		return nil
	}
	receivers, err := notify.ParseReceivers(string(c.WebhookURL))
	if err != nil {
		return err // not reached: the table of settings has checked it, and the next
	}
	keys, err := notify.ParseKeys(string(c.WebhookSecret))
	if err != nil {
		return err
	}
	if c.WebhookSecret == "" && c.WebhookFormat == notify.JSON {
		s.o.Logger.Warn("webhook: notifications are not signed: receivers cannot tell who they are from; set MEMWARDEN_WEBHOOK_SECRET")
	}
	instance := s.instance()
	s.notifier, err = notify.New(notify.Options{
		Warden: s.warden, Receivers: receivers, Format: c.WebhookFormat, Events: c.WebhookEvents, Keys: keys,
		Timeout: c.WebhookTimeout, Retry: c.WebhookRetry, Instance: instance, Address: "http://" + instance, Logger: s.o.Logger,
	})
	return err
}

// instance tells this service from others: its machine, or container, and its port.
func (s *service) instance() string {
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if name, nameErr := os.Hostname(); nameErr == nil {
		host = name
	}
	if err != nil {
		return host
	}
	return net.JoinHostPort(host, port)
}

// stopNotifier tells what waits to be told, as far as there is time: shortly before the deadline it is left.
func (s *service) stopNotifier(ctx context.Context) error {
	c := s.o.Config
	grace, cancel := context.WithTimeout(ctx, deadlines(c.ShutdownTimeout, c.DrainDelay).Pools*9/10)
	defer cancel()
	s.notifier.Close(grace)
	return nil
}
