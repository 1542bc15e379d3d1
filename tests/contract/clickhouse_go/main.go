// The statements a dashboard sends, through clickhouse-go over HTTP, against the server at the given address.
// usage: clickhouse_go host:port user password none|gzip|lz4|zstd
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const rowCount = 30_000

var methods = map[string]clickhouse.CompressionMethod{
	"none": clickhouse.CompressionNone,
	"gzip": clickhouse.CompressionGZIP,
	"lz4":  clickhouse.CompressionLZ4,
	"zstd": clickhouse.CompressionZSTD,
}

type run struct {
	ctx    context.Context
	writer driver.Conn
	reader driver.Conn
	table  string
	steps  int
}

func main() {
	address, user, password, compression := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	writer, err := open(address, user, password, compression)
	check("open as writer", err)
	reader, err := open(address, "default", "", compression)
	check("open as reader", err)
	r := &run{context.Background(), writer, reader, "telemetry.go_" + compression, 0}
	r.hello()
	r.create()
	r.insert()
	r.read()
	r.errors()
	r.step("drop", r.writer.Exec(r.ctx, "DROP TABLE "+r.table))
	fmt.Printf("%s: %d steps passed\n", compression, r.steps)
}

func open(address, user, password, compression string) (driver.Conn, error) {
	return clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{address},
		Auth:        clickhouse.Auth{Database: "default", Username: user, Password: password},
		Compression: &clickhouse.Compression{Method: methods[compression]},
		Settings:    clickhouse.Settings{"max_execution_time": 30},
	})
}

func check(step string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", step, err)
		os.Exit(1)
	}
}

func (r *run) step(name string, err error) {
	check(name, err)
	r.steps++
}

func (r *run) equal(name string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.step(name, fmt.Errorf("got %v, want %v", got, want))
	}
	r.steps++
}

func (r *run) fails(name string, err error, want string) {
	if err == nil || !strings.Contains(err.Error(), want) {
		r.step(name, fmt.Errorf("got error %v, want one with %q", err, want))
	}
	r.steps++
}

func (r *run) hello() {
	r.step("ping", r.reader.Ping(r.ctx))
	version, err := r.reader.ServerVersion()
	r.step("version", err)
	r.equal("time zone", version.Timezone, "UTC")
	var one uint8
	r.step("select 1", r.reader.QueryRow(r.ctx, "SELECT 1").Scan(&one))
	r.equal("one", one, 1)
}

func (r *run) create() {
	r.step("create", r.writer.Exec(r.ctx, "CREATE OR REPLACE TABLE "+r.table+` (
		n UInt64, name LowCardinality(String), labels Map(LowCardinality(String), String), at DateTime64(3, 'UTC'),
		maybe Nullable(String), ratio Float64, tags Array(String), id UUID) ENGINE = MergeTree ORDER BY n`))
}

func (r *run) insert() {
	batch, err := r.writer.PrepareBatch(r.ctx, "INSERT INTO "+r.table)
	r.step("prepare batch", err)
	at := time.Date(2026, 11, 23, 10, 0, 0, 123_000_000, time.UTC)
	for n := uint64(0); n < rowCount; n++ {
		var maybe *string
		if n%2 == 0 {
			text := fmt.Sprint("even ", n)
			maybe = &text
		}
		check("append", batch.Append(n, fmt.Sprint("name ", n%7), map[string]string{"n": fmt.Sprint(n)}, at.Add(time.Duration(n)*time.Millisecond),
			maybe, float64(n)/2, []string{"a", fmt.Sprint(n)}, "61f0c404-5cb3-11e7-907b-a6006ad3dba0"))
	}
	r.step("send batch", batch.Send())
	var count, distinct, sum uint64
	row := r.reader.QueryRow(r.ctx, "SELECT count(), uniqExact(labels['n']), sum(n) FROM "+r.table)
	r.step("count", row.Scan(&count, &distinct, &sum))
	r.equal("all rows", []uint64{count, distinct, sum}, []uint64{rowCount, rowCount, rowCount * (rowCount - 1) / 2})
}

func (r *run) read() {
	var (
		n      uint64
		name   string
		labels map[string]string
		at     time.Time
		maybe  *string
		ratio  float64
		tags   []string
	)
	sql := "SELECT n, name, labels, at, maybe, ratio, tags FROM " + r.table + " WHERE n = {n:UInt64}"
	row := r.reader.QueryRow(clickhouse.Context(r.ctx, clickhouse.WithParameters(clickhouse.Parameters{"n": "10"})), sql)
	r.step("bound parameter", row.Scan(&n, &name, &labels, &at, &maybe, &ratio, &tags))
	r.equal("values", []any{n, name, labels, at.UTC().Format(time.RFC3339Nano), *maybe, ratio, tags},
		[]any{10, "name 3", map[string]string{"n": "10"}, "2026-11-23T10:00:00.133Z", "even 10", 5, []string{"a", "10"}})
	r.equal("large result", r.count("SELECT n, name FROM "+r.table), rowCount)
	r.equal("several blocks", r.count("SELECT number, toString(number) FROM numbers(500000)"), 500_000)
	rows, err := r.reader.Query(r.ctx, "SELECT n, name FROM "+r.table+" WHERE n > 1000000000")
	r.step("no rows", err)
	r.equal("columns of no rows", rows.Columns(), []string{"n", "name"})
	r.step("close no rows", rows.Close())
	var text string
	r.step("JSON as string", r.reader.QueryRow(r.ctx, `SELECT toString('{"a":1}'::JSON)`).Scan(&text))
	r.equal("JSON", text, `{"a":1}`)
}

func (r *run) count(sql string) int {
	rows, err := r.reader.Query(r.ctx, sql)
	check(sql, err)
	defer rows.Close()
	count := 0
	for rows.Next() {
		count++
	}
	check(sql, rows.Err())
	return count
}

func (r *run) errors() {
	r.fails("unknown table", r.reader.Exec(r.ctx, "SELECT * FROM telemetry.no_such_table"), "code: 60")
	r.fails("reader writes", r.reader.Exec(r.ctx, "TRUNCATE TABLE "+r.table), "code: 164")
	rows, err := r.reader.Query(r.ctx, "SELECT throwIf(number = 150000), number FROM numbers(200000) SETTINGS max_block_size = 10000")
	count := 0
	for err == nil && rows.Next() {
		count++
	}
	if err == nil {
		err = rows.Err()
	}
	r.fails("error on the way", err, "395")
	r.equal("fewer rows", count < 200_000, true)
	var one uint8
	r.step("select after an error", r.reader.QueryRow(r.ctx, "SELECT 1").Scan(&one))
}
