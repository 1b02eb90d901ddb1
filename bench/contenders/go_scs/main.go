// Go's scs as a contender of the benchmark: its middleware around net/http handlers, called in this
// process without any server. It speaks the protocol of docs/how-to/benchmark.md.
//
//	URL ROWS            speaks it, beside so many sessions of other visitors
//	URL ROWS SESSIONS   adds both, prints the Cookie headers of the SESSIONS as JSON, and ends
//	URL serve ADDRESS   answers over HTTP instead, for bench/http
package main

import (
	"bufio"
	"database/sql"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/alexedwards/scs/postgresstore"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"
	_ "github.com/lib/pq"
	_ "github.com/mattn/go-sqlite3"
)

const works = "read write nested untouched anonymous sign-in first sign-out"

var paths = map[string]string{
	"read": "/read", "write": "/write", "nested": "/nested", "untouched": "/plain", "anonymous": "/read",
	"sign-in": "/sign-in", "first": "/first", "sign-out": "/sign-out",
}

// What a session holds: the same 500 bytes as everywhere, see bench/works.py.
type line struct {
	Item   string
	Price  int
	Amount int
}

type cart struct {
	Lines  []line
	Coupon string
}

func contents() map[string]interface{} {
	filled, seen := cart{}, []string{}
	for number := 0; number < 5; number++ {
		item := line{Item: fmt.Sprintf("cog-%04d", number), Price: 1250 + number, Amount: 1}
		filled.Lines = append(filled.Lines, item)
		seen = append(seen, fmt.Sprintf("/catalogue/gears/%05d", number))
	}
	return map[string]interface{}{
		"count": 0, "name": "Ada Lovelace", "email": "ada@analytical.example", "theme": "dark",
		"cart": filled, "seen": seen, "return_to": "/account/orders/1",
	}
}

// application makes handlers and a session manager of their own on a database.
func application(database *sql.DB, sqlite bool) http.Handler {
	sessions := scs.New()
	sessions.Cookie.Secure = true
	sessions.Store = postgresstore.New(database)
	if sqlite {
		sessions.Store = sqlite3store.New(database)
	}
	mux := http.NewServeMux()
	page := func(path string, view func(r *http.Request) string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			text := view(r)
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Write([]byte(text))
		})
	}
	page("/plain", func(r *http.Request) string { return "plain" })
	page("/read", func(r *http.Request) string { return sessions.GetString(r.Context(), "name") })
	page("/write", func(r *http.Request) string {
		count := sessions.GetInt(r.Context(), "count") + 1
		sessions.Put(r.Context(), "count", count)
		return strconv.Itoa(count)
	})
	page("/nested", func(r *http.Request) string {
		changed := sessions.Get(r.Context(), "cart").(cart)
		changed.Lines[0].Amount++
		sessions.Put(r.Context(), "cart", changed)
		return "changed"
	})
	page("/first", func(r *http.Request) string {
		for key, value := range contents() {
			sessions.Put(r.Context(), key, value)
		}
		return "stored"
	})
	page("/show", func(r *http.Request) string {
		shown := map[string]interface{}{}
		for _, key := range sessions.Keys(r.Context()) {
			shown[key] = sessions.Get(r.Context(), key)
		}
		text, err := json.Marshal(shown)
		must(err)
		return string(text)
	})
	page("/sign-in", func(r *http.Request) string {
		must(sessions.RenewToken(r.Context()))
		sessions.Put(r.Context(), "user", "user-1")
		return "in"
	})
	page("/sign-out", func(r *http.Request) string {
		must(sessions.Destroy(r.Context()))
		return "out"
	})
	return sessions.LoadAndSave(mux)
}

// answer is a response, kept in memory.
type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(body []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.body = append(a.body, body...)
	return len(body), nil
}

func newAnswer() *answer { return &answer{header: http.Header{}} }

func request(path, cookie string) *http.Request {
	made, err := http.NewRequest("GET", "https://example.com"+path, nil)
	must(err)
	if cookie != "" {
		made.Header.Set("Cookie", cookie)
	}
	return made
}

// get is one request, and the cookie that its response sets.
func get(handler http.Handler, path, cookie string) (string, string) {
	got := newAnswer()
	handler.ServeHTTP(got, request(path, cookie))
	if got.status != http.StatusOK {
		panic(fmt.Sprintf("%s answered %d: %s", path, got.status, got.body))
	}
	set, _, _ := strings.Cut(got.header.Get("Set-Cookie"), ";")
	return string(got.body), set
}

type program struct {
	handler, second http.Handler
	cookie          string
}

func (p *program) newSession() string {
	_, cookie := get(p.handler, "/first", "")
	return cookie
}

// newSessions are as many as the text says, by their cookies.
func (p *program) newSessions(number string) []string {
	wanted, err := strconv.Atoi(number)
	must(err)
	cookies := make([]string, wanted)
	for index := range cookies {
		cookies[index] = p.newSession()
	}
	return cookies
}

// stored is what another process would see.
func (p *program) stored(cookie string) map[string]interface{} {
	text, _ := get(p.second, "/show", cookie)
	values := map[string]interface{}{}
	must(json.Unmarshal([]byte(text), &values))
	return values
}

func (p *program) run(work string, count int) int64 {
	if p.cookie == "" {
		p.cookie = p.newSession()
	}
	requests, answers := make([]*http.Request, count), make([]*answer, count)
	for index := range requests {
		cookie := p.cookie
		switch work {
		case "anonymous", "first":
			cookie = ""
		case "sign-in", "sign-out":
			cookie = p.newSession()
		}
		requests[index], answers[index] = request(paths[work], cookie), newAnswer()
	}
	began := time.Now()
	for index, each := range requests {
		p.handler.ServeHTTP(answers[index], each)
	}
	took := time.Since(began)
	for _, each := range answers {
		expect("status", each.status, http.StatusOK)
	}
	return took.Nanoseconds()
}

// check does a work once, and looks at what it did.
func (p *program) check(work string) {
	cookie := p.newSession()
	body, set := get(p.handler, paths[work], map[bool]string{false: cookie}[work == "anonymous"])
	switch work {
	case "read":
		expect("name", body, "Ada Lovelace")
	case "write":
		get(p.handler, "/write", cookie)
		expect("count", p.stored(cookie)["count"], 2.0)
	case "nested":
		lines := p.stored(cookie)["cart"].(map[string]interface{})["Lines"].([]interface{})
		expect("amount", lines[0].(map[string]interface{})["Amount"], 2.0)
	case "untouched":
		expect("page", body, "plain")
	case "anonymous":
		expect("name", body, "")
	case "first":
		expect("name", p.stored(set)["name"], "Ada Lovelace")
	case "sign-in":
		expect("user", p.stored(set)["user"], "user-1")
		expect("old name", p.stored(cookie)["name"], nil)
	case "sign-out":
		expect("old name", p.stored(cookie)["name"], nil)
	}
}

func expect(what string, found, wanted interface{}) {
	if found != wanted {
		panic(fmt.Sprintf("%s is %v, and ought to be %v", what, found, wanted))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// open connects to the database that a SQLAlchemy URL means.
func open(url string) (*sql.DB, bool) {
	path, sqlite := url, strings.HasPrefix(url, "sqlite:///")
	driver, name := "postgres", strings.Replace(url, "+psycopg", "", 1)+"?sslmode=disable"
	if sqlite {
		path = strings.TrimPrefix(url, "sqlite:///")
		driver, name = "sqlite3", "file:"+path+"?_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=5000"
	}
	database, err := sql.Open(driver, name)
	must(err)
	return database, sqlite
}

// createTable makes the table with its index as scs documents it.
func createTable(database *sql.DB, sqlite bool) {
	columns := "token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL"
	if sqlite {
		columns = "token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL"
	}
	for _, statement := range []string{
		"CREATE TABLE IF NOT EXISTS sessions (" + columns + ")",
		"CREATE INDEX IF NOT EXISTS sessions_expiry_idx ON sessions (expiry)",
	} {
		_, err := database.Exec(statement)
		must(err)
	}
}

// reply answers one line; a panic becomes an error.
func (p *program) reply(words []string) (text string) {
	defer func() {
		if trouble := recover(); trouble != nil {
			text = "error " + strings.Join(strings.Fields(fmt.Sprint(trouble)), " ")
		}
	}()
	if len(words) == 1 && words[0] == "works" {
		return "ok " + works
	}
	if len(words) < 2 || paths[words[1]] == "" {
		return "unsupported"
	}
	if words[0] == "check" {
		p.check(words[1])
		return "ok"
	}
	if words[0] == "run" && len(words) == 3 {
		count, err := strconv.Atoi(words[2])
		must(err)
		return fmt.Sprintf("ok %d", p.run(words[1], count))
	}
	return "unsupported"
}

// serve answers over HTTP until the process is ended.
func serve(database *sql.DB, sqlite bool, address string) {
	// As many as ask at once. Of itself the pool keeps two, and opens and closes the others all the time.
	database.SetMaxIdleConns(16)
	must(http.ListenAndServe(address, application(database, sqlite)))
}

func main() {
	// One core, as for everybody.
	runtime.GOMAXPROCS(1)
	gob.Register(cart{})
	gob.Register([]string{})
	database, sqlite := open(os.Args[1])
	createTable(database, sqlite)
	if os.Args[2] == "serve" {
		serve(database, sqlite, os.Args[3])
	}
	other, _ := open(os.Args[1])
	p := &program{handler: application(database, sqlite), second: application(other, sqlite)}
	p.newSessions(os.Args[2])
	if len(os.Args) > 3 {
		cookies, err := json.Marshal(p.newSessions(os.Args[3]))
		must(err)
		fmt.Println(string(cookies))
		return
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 1 && words[0] == "quit" {
			return
		}
		fmt.Println(p.reply(words))
	}
}
