module myapp.example/bench/go_scs

go 1.19

require (
	github.com/alexedwards/scs/postgresstore v0.0.0-20251002162104-209de6e426de
	github.com/alexedwards/scs/sqlite3store v0.0.0-20251002162104-209de6e426de
	github.com/alexedwards/scs/v2 v2.9.0
	github.com/lib/pq v1.10.9
	github.com/mattn/go-sqlite3 v1.14.22
)
