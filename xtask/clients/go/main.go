// Command clients calls Tally and Redis with go-redis and its defaults: the same calls must get the same answers.
//
// Usage: go run . TALLY_PORT REDIS_PORT. It ends with 1 when an answer differs.
package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/redis/go-redis/v9"
)

// A call is made on both servers, and what it gives is compared as text.
type call struct {
	name string
	make func(context.Context, *redis.Client) (any, error)
}

func calls() []call {
	return []call{
		{"incr", func(ctx context.Context, r *redis.Client) (any, error) { return r.Incr(ctx, "n").Result() }},
		{"incrby", func(ctx context.Context, r *redis.Client) (any, error) { return r.IncrBy(ctx, "n", 41).Result() }},
		{"decrby", func(ctx context.Context, r *redis.Client) (any, error) { return r.DecrBy(ctx, "n", 50).Result() }},
		{"get", func(ctx context.Context, r *redis.Client) (any, error) { return r.Get(ctx, "n").Int64() }},
		{"get of nothing", func(ctx context.Context, r *redis.Client) (any, error) { return r.Get(ctx, "nothing").Result() }},
		{"mget", func(ctx context.Context, r *redis.Client) (any, error) { return r.MGet(ctx, "n", "nothing").Result() }},
		{"set", func(ctx context.Context, r *redis.Client) (any, error) { return r.Set(ctx, "s", 5, 0).Result() }},
		{"set with a time", func(ctx context.Context, r *redis.Client) (any, error) { return r.Set(ctx, "s", 6, time.Hour).Result() }},
		{"setnx", func(ctx context.Context, r *redis.Client) (any, error) { return r.SetNX(ctx, "s", 7, 0).Result() }},
		{"ttl", func(ctx context.Context, r *redis.Client) (any, error) {
			left, err := r.TTL(ctx, "s").Result()
			return left > 59*time.Minute, err
		}},
		{"expire", func(ctx context.Context, r *redis.Client) (any, error) {
			return r.Expire(ctx, "s", time.Minute).Result()
		}},
		{"persist", func(ctx context.Context, r *redis.Client) (any, error) { return r.Persist(ctx, "s").Result() }},
		{"getdel", func(ctx context.Context, r *redis.Client) (any, error) { return r.GetDel(ctx, "s").Result() }},
		{"exists", func(ctx context.Context, r *redis.Client) (any, error) { return r.Exists(ctx, "s", "n").Result() }},
		{"the greatest value", func(ctx context.Context, r *redis.Client) (any, error) {
			return r.Set(ctx, "max", int64(math.MaxInt64), 0).Result()
		}},
		{"incr beyond it", func(ctx context.Context, r *redis.Client) (any, error) { return r.Incr(ctx, "max").Result() }},
		{"a transaction", func(ctx context.Context, r *redis.Client) (any, error) { return texts(r.TxPipelined(ctx, some(ctx))) }},
		{"a pipeline", func(ctx context.Context, r *redis.Client) (any, error) { return texts(r.Pipelined(ctx, some(ctx))) }},
		{"a broken amount", func(ctx context.Context, r *redis.Client) (any, error) {
			return r.Do(ctx, "INCRBY", "n", "abc").Result()
		}},
		{"wrong arity", func(ctx context.Context, r *redis.Client) (any, error) { return r.Do(ctx, "INCR").Result() }},
		{"an unknown command", func(ctx context.Context, r *redis.Client) (any, error) { return r.Do(ctx, "NOSUCH", "a").Result() }},
		{"scan", scanned},
		{"del", func(ctx context.Context, r *redis.Client) (any, error) {
			return r.Del(ctx, "n", "p", "nothing").Result()
		}},
		{"dbsize", func(ctx context.Context, r *redis.Client) (any, error) { return r.DBSize(ctx).Result() }},
		{"ping", func(ctx context.Context, r *redis.Client) (any, error) { return r.Ping(ctx).Result() }},
	}
}

// some commands for a pipeline or a transaction.
func some(ctx context.Context) func(redis.Pipeliner) error {
	return func(p redis.Pipeliner) error {
		p.Incr(ctx, "p")
		p.IncrBy(ctx, "p", 5)
		p.Get(ctx, "p")
		p.Expire(ctx, "p", time.Hour)
		return nil
	}
}

func texts(commands []redis.Cmder, err error) (any, error) {
	var all []string
	for _, command := range commands {
		all = append(all, command.String())
	}
	return all, err
}

func scanned(ctx context.Context, r *redis.Client) (any, error) {
	for i := 0; i < 300; i++ {
		if err := r.Incr(ctx, fmt.Sprintf("scan:%d", i)).Err(); err != nil {
			return nil, err
		}
	}
	found := map[string]bool{}
	pages := r.Scan(ctx, 0, "scan:*", 20).Iterator()
	for pages.Next(ctx) {
		found[pages.Val()] = true
	}
	var keys []string
	for key := range found {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys, pages.Err()
}

func main() {
	ctx := context.Background()
	tally := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[1]})
	rival := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[2]})
	same, different := 0, 0
	for _, call := range calls() {
		got, gotErr := call.make(ctx, tally)
		expected, expectedErr := call.make(ctx, rival)
		ofTally, ofRival := fmt.Sprint(got, gotErr), fmt.Sprint(expected, expectedErr)
		if ofTally == ofRival {
			same++
			continue
		}
		different++
		fmt.Printf("DIFFERENT %s: Tally %.300s, Redis %.300s\n", call.name, ofTally, ofRival)
	}
	fmt.Printf("go-redis %s: %d answers are the same\n", redis.Version(), same)
	if different > 0 {
		os.Exit(1)
	}
}
