//go:build unix

package grace_test

import (
	"cmp"
	"context"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"github.com/moult-go/moult/grace"
)

// A store keeps values in a file that only one process can have open.
type store struct{ db *bbolt.DB }

var bucket = []byte("values")

func (s *store) open(context.Context) error {
	// No process of ours has the file now; somebody else may.
	db, err := bbolt.Open("store.db", 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	s.db = db
	return db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

func (s *store) close(context.Context) error { return s.db.Close() }

// ServeHTTP needs no lock for s.db: no request is in here between OnStandby and OnResume.
func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := []byte(r.URL.Path)
	var err error
	switch r.Method {
	case http.MethodPut:
		var value []byte
		if value, err = io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20)); err == nil {
			err = s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
		}
	default:
		err = s.db.View(func(tx *bbolt.Tx) error {
			_, err := w.Write(tx.Bucket(bucket).Get(key))
			return err
		})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// A server with an embedded database, whose file is locked by whoever has it open. PUT /key stores a value, GET /key
// returns it, and HUP replaces the server: the predecessor closes the file before the successor's New returns.
func Example_embeddedDatabase() {
	s := &store{}
	p, err := grace.New(grace.Options{Exclusive: true, OnStandby: s.close, OnResume: s.open})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := s.open(ctx); err != nil {
		log.Fatal(err)
	}
	ln, err := p.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), "localhost:8080"))
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := p.Serve(&http.Server{Handler: s}, ln); err != nil {
			log.Print(err)
		}
	}()
	if err := p.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	if err := p.Wait(ctx); err != nil { // it can serve no more: a supervisor is to start it anew
		log.Fatal(err)
	}
	s.db.Close() // when it was stopped; a second time when it was replaced
}
