// The ceiling: the relay and the whole job as a compiled language does them, with RabbitMQ's own Go client.
//
// relay URL FROM TO: batches are published with confirms, then acked. door PORT URL: answers after the confirm of its
// publish. worker URL DSN steps|merged: as job_faststream.py, but a batch of messages at once: one transaction, claims
// and merges in one statement each, all events published and confirmed before the commit, one ack after it.
// Built by services.py with Debian's packages alone.
package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/lib/pq"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	received   = "received"
	downstream = "bench"
	most       = 256
	prefetch   = 512
	linger     = 5 * time.Millisecond
	schema     = `
CREATE TABLE IF NOT EXISTS claims (key text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS calls (session text PRIMARY KEY, facts jsonb NOT NULL, done boolean NOT NULL DEFAULT false)`
	claim = "INSERT INTO claims (key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING key"
	merge = `
INSERT INTO calls (session, facts) SELECT * FROM unnest($1::text[], $2::jsonb[])
ON CONFLICT (session) DO UPDATE SET facts = calls.facts || excluded.facts RETURNING session, facts, done`
	finish = "UPDATE calls SET done = true WHERE session = ANY($1::text[])"
)

var steps = []string{"callin", "callout", "alerting", "answer", "disconnect"}

type object = map[string]json.RawMessage

type fact struct {
	key, session, step string
	content            json.RawMessage
}

type message struct {
	body        []byte
	id          string
	contentType string
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func open(url string, confirms bool) *amqp.Channel {
	connection, err := amqp.Dial(url)
	must(err)
	channel, err := connection.Channel()
	must(err)
	if confirms {
		must(channel.Confirm(false))
	}
	return channel
}

func publish(channel *amqp.Channel, key string, one message) *amqp.DeferredConfirmation {
	headers := amqp.Table{}
	if one.id != "" {
		headers["cloudEvents_id"] = one.id
	}
	confirm, err := channel.PublishWithDeferredConfirmWithContext(context.Background(), "", key, true, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent, ContentType: one.contentType, Headers: headers, Body: one.body})
	must(err)
	return confirm
}

// All are confirmed when it returns; what the broker refuses ends the run.
func publishAll(channel *amqp.Channel, key string, messages []message) {
	confirms := make([]*amqp.DeferredConfirmation, len(messages))
	for i, one := range messages {
		confirms[i] = publish(channel, key, one)
	}
	for _, confirm := range confirms {
		if !confirm.Wait() {
			log.Fatal("the broker refused a message")
		}
	}
}

func consume(channel *amqp.Channel, queue string, handle func([]amqp.Delivery)) {
	must(channel.Qos(prefetch, 0, false))
	deliveries, err := channel.Consume(queue, "", false, false, false, false, nil)
	must(err)
	for first := range deliveries {
		batch, late := []amqp.Delivery{first}, time.After(linger)
	filling:
		for len(batch) < most {
			select {
			case next, ok := <-deliveries:
				if !ok {
					break filling
				}
				batch = append(batch, next)
			case <-late:
				break filling
			}
		}
		handle(batch)
		must(batch[len(batch)-1].Ack(true))
	}
}

func relay(url, source, target string) {
	out := open(url, true)
	consume(open(url, false), source, func(batch []amqp.Delivery) {
		messages := make([]message, len(batch))
		for i, one := range batch {
			messages[i] = message{body: one.Body, contentType: one.ContentType}
		}
		publishAll(out, target, messages)
	})
}

func door(port, url string) {
	channel := open(url, true)
	must(http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !publish(channel, received, message{body: body, contentType: "application/json"}).Wait() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})))
}

func text(raw json.RawMessage) string {
	var found string
	must(json.Unmarshal(raw, &found))
	return found
}

func factsOf(body []byte) []fact {
	var push struct {
		EventType  string
		FeeLst     []json.RawMessage
		StatusInfo json.RawMessage
	}
	must(json.Unmarshal(body, &push))
	var found []fact
	for _, raw := range push.FeeLst {
		var cdr struct{ SessionId, Icid string }
		must(json.Unmarshal(raw, &cdr))
		found = append(found, fact{"cdr|" + cdr.SessionId + "|" + cdr.Icid, cdr.SessionId, "fee", raw})
	}
	if push.EventType != "fee" {
		var info struct{ SessionId, Timestamp string }
		must(json.Unmarshal(push.StatusInfo, &info))
		key := "event|" + info.SessionId + "|" + push.EventType + "|" + info.Timestamp
		found = append(found, fact{key, info.SessionId, push.EventType, push.StatusInfo})
	}
	return found
}

// A CloudEvent, under an id that is the same each time.
func event(kind, session, discriminator, name string, data any) message {
	id := sha1.Sum([]byte(kind + "|" + session + "|" + discriminator))
	said := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
	body, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": said, "type": "callstitch." + kind + ".v1", "source": "/bench",
		"subject": session, "datacontenttype": "application/json", "data": map[string]any{name: data},
	})
	must(err)
	return message{body: body, id: said, contentType: "application/cloudevents+json"}
}

func record(session string, facts object) map[string]any {
	var cdr object
	must(json.Unmarshal(facts["fee"], &cdr))
	timeline := []json.RawMessage{}
	for _, step := range steps {
		if content, ok := facts[step]; ok {
			timeline = append(timeline, bytes.Join([][]byte{[]byte(`{"type":"` + step + `",`), content[1:]}, nil))
		}
	}
	_, answered := cdr["fwdAnswerTime"]
	return map[string]any{
		"id": session, "caller": cdr["callerNum"], "callee": cdr["fwdDstNum"], "answered": answered,
		"called_in_at": cdr["callInTime"], "answered_at": cdr["fwdAnswerTime"], "ended_at": cdr["callEndTime"],
		"timeline": timeline, "cdrs": []json.RawMessage{facts["fee"]},
	}
}

func whole(facts object, merged bool) bool {
	if _, ok := facts["fee"]; !ok {
		return false
	}
	for _, step := range steps {
		if _, ok := facts[step]; !ok && !merged {
			return false
		}
	}
	return true
}

func claimed(tx *sql.Tx, facts map[string]fact) []string {
	keys := make([]string, 0, len(facts))
	for key := range facts {
		keys = append(keys, key)
	}
	rows, err := tx.Query(claim, pq.Array(keys))
	must(err)
	defer rows.Close()
	var found []string
	for rows.Next() {
		var key string
		must(rows.Scan(&key))
		found = append(found, key)
	}
	must(rows.Err())
	return found
}

func fold(tx *sql.Tx, facts map[string]fact, merged bool) []message {
	var events []message
	changed := map[string]object{}
	for _, key := range claimed(tx, facts) {
		one := facts[key]
		if changed[one.session] == nil {
			changed[one.session] = object{}
		}
		changed[one.session][one.step] = one.content
		if one.step != "fee" {
			events = append(events, event("call.progress", one.session, one.step, "event", one.content))
		}
	}
	var sessions, contents, done []string
	for session, content := range changed {
		encoded, err := json.Marshal(content)
		must(err)
		sessions, contents = append(sessions, session), append(contents, string(encoded))
	}
	rows, err := tx.Query(merge, pq.Array(sessions), pq.Array(contents))
	must(err)
	defer rows.Close()
	for rows.Next() {
		var session string
		var raw []byte
		var said bool
		must(rows.Scan(&session, &raw, &said))
		var all object
		must(json.Unmarshal(raw, &all))
		if whole(all, merged) && !said {
			done = append(done, session)
			events = append(events, event("call.completed", session, "1", "call", record(session, all)))
		}
	}
	must(rows.Err())
	if len(done) > 0 {
		_, err = tx.Exec(finish, pq.Array(done))
		must(err)
	}
	return events
}

func worker(url, dsn string, merged bool) {
	db, err := sql.Open("postgres", dsn+"?sslmode=disable")
	must(err)
	_, err = db.Exec(schema)
	must(err)
	out := open(url, true)
	consume(open(url, false), received, func(batch []amqp.Delivery) {
		facts := map[string]fact{}
		for _, one := range batch {
			for _, found := range factsOf(one.Body) {
				facts[found.key] = found
			}
		}
		tx, err := db.Begin()
		must(err)
		publishAll(out, downstream, fold(tx, facts, merged))
		must(tx.Commit())
	})
}

func main() {
	switch given := os.Args[1:]; given[0] {
	case "relay":
		relay(given[1], given[2], given[3])
	case "door":
		door(given[1], given[2])
	case "worker":
		worker(given[1], given[2], given[3] == "merged")
	}
}
