package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/api"
)

// Bounds of one request. A slow client keeps a connection, and nothing else, for
// no longer than these.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 15 * time.Second  // header included
	writeTimeout  = api.AnswerTimeout // what it may do is bounded by api.ChangeTimeout
	idleTimeout   = time.Minute
	maxHeader     = 32 << 10
	// maxStreams bounds the requests of one connection over HTTP/2. Each may hold a
	// whole body, of as many connections as there may be.
	maxStreams = 8
	// grace is how long requests may take to end when the server stops.
	grace = 1500 * time.Millisecond
)

// Serve answers at what Listen bound until ctx ends or a listener fails. It is called
// once. It returns within 2 s of ctx's end, nil in that case; requests that run by
// then are cut.
func (s *Server) Serve(ctx context.Context) error {
	// Requests outlive ctx by the grace; what is left after it is cancelled.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	running, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	var servers []*http.Server
	var ended []<-chan struct{}
	for _, l := range s.listeners() {
		srv := s.server(requests, l == s.unix)
		servers = append(servers, srv)
		ended = append(ended, s.start(srv, l, failed))
	}
	<-running.Done()
	close(s.stopping)
	stop(servers)
	for _, e := range ended {
		<-e
	}
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running)
}

func (s *Server) server(requests context.Context, unix bool) *http.Server {
	return &http.Server{
		Handler:           s.Handler(unix),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       withPlace,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: 16 << 10,
			MaxReceiveBufferPerStream: maxBody, MaxReceiveBufferPerConnection: maxBody,
		},
		ErrorLog: slog.NewLogLogger(s.gate.Log().Handler(), slog.LevelWarn),
	}
}

func (s *Server) start(srv *http.Server, l net.Listener, failed context.CancelCauseFunc) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.answer(srv, l); !errors.Is(err, http.ErrServerClosed) {
			failed(err)
		}
	}()
	return ended
}

// answer serves l, the TCP listener as the file says.
func (s *Server) answer(srv *http.Server, l net.Listener) error {
	if l == s.unix || s.o.Config == "" {
		return srv.Serve(l)
	}
	return s.gate.Serve(srv, l)
}

// stop lets requests end within the grace, all servers at once, and cuts what is
// left.
func stop(servers []*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var wg sync.WaitGroup
	for _, srv := range servers {
		wg.Go(func() {
			if srv.Shutdown(ctx) != nil {
				// It did not end in time; the error of cutting it tells nobody more.
				_ = srv.Close()
			}
		})
	}
	wg.Wait()
}

// answering has a request that has arrived keep the place of its connection.
func answering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer busy(r)()
		next.ServeHTTP(w, r)
	})
}

// busy notes that r's connection waits for an answer, until the returned function is called.
func busy(r *http.Request) (done func()) {
	if c, ok := r.Context().Value(placeKey{}).(*placed); ok {
		return c.answering()
	}
	return func() {}
}
