-- What watches the database: statistics of statements, and a role that reads statistics and not one row of data.
-- The image runs this once, when the volume is new, on the database of the program.
\set ON_ERROR_STOP on
\getenv password MONITOR_PASSWORD

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;

-- pg_stat_statements would keep the next statement, with the password in it.
SET pg_stat_statements.track_utility = off;
CREATE ROLE monitor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 5
    IN ROLE pg_monitor PASSWORD :'password';

-- Everybody may make temporary tables by default; who only watches writes nothing, and never for long.
REVOKE TEMPORARY ON DATABASE :DBNAME FROM PUBLIC;
ALTER ROLE monitor SET default_transaction_read_only = on;
ALTER ROLE monitor SET statement_timeout = '5s';
ALTER ROLE monitor SET lock_timeout = '1s';
