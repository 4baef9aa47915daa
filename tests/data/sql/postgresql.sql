SELECT id, name FROM users WHERE email = ‹'ann.canary@example.org'› AND age > ‹42001› LIMIT ‹10077› OFFSET ‹20077›

SELECT * FROM "Users" u WHERE u."Name" LIKE ‹'%canary\_%'› ESCAPE ‹'\'› AND u.active IS TRUE

INSERT INTO orders (id, total, note) VALUES (‹70001›, ‹99.9577›, ‹'it''s canary'›) ON CONFLICT (id) DO UPDATE SET total = EXCLUDED.total + ‹1.5e77›, note = ‹E'line\ncanary\'s'› RETURNING id, created_at

UPDATE accounts SET balance = balance - ‹100077.50›, seen = now() - INTERVAL ‹'3 canary days'› WHERE id = ANY(‹'{1001,1002,1003}'›::int[]) AND owner = current_user

WITH RECURSIVE tree AS (SELECT id, parent_id, ‹1077› AS depth FROM nodes WHERE parent_id IS NULL UNION ALL SELECT n.id, n.parent_id, t.depth + ‹1078› FROM nodes n JOIN tree t ON n.parent_id = t.id) SELECT * FROM tree WHERE depth < ‹5077›

SELECT data->>‹'canary_key'›, data#>>‹'{canary_a,0077}'›, data @> ‹'{"token": "canary-token"}'›::jsonb FROM events WHERE data ? ‹'canary_b'› AND created BETWEEN ‹'2024-01-31'› AND ‹'2024-02-29'›

SELECT ‹$$canary's text$$› AS a, ‹$tag$nested $$ canary $tag$› AS b, $1 AS c, ‹U&'d\0061t\+000061 canary'› AS d FROM t1

CREATE FUNCTION touch() RETURNS trigger AS ‹$body$BEGIN NEW.stamp := 'canary'; RETURN NEW; END;$body$› LANGUAGE plpgsql

SELECT CASE WHEN status = ‹'canary_open'› THEN ‹77001› ELSE ‹-77002› END FROM tickets ORDER BY priority DESC NULLS LAST

DELETE FROM sessions USING users WHERE sessions.user_id = users.id AND users.id IN (‹10011›, ‹10012›, ‹10013›, ‹10014›)

SELECT count(*) FILTER (WHERE kind = ‹'canary'›) OVER (PARTITION BY a, b ORDER BY c ROWS BETWEEN ‹3077› PRECEDING AND CURRENT ROW) FROM x

INSERT INTO points (x, y) VALUES (‹-1001.5›, ‹+2002.5›), (‹.3003›, ‹4004.›), (‹5005e-3›, ‹6006E+3›)

SELECT a.b.c, ‹x'ca77'› FROM t

COPY secrets (name, value) FROM STDIN WITH (FORMAT csv, DELIMITER ‹'|canary'›, NULL ‹'canary_null'›)

⟦/* canary='yes', nested /* canary2 */ end */⟧

SELECT ‹B'10100077'›, ‹X'1FFcanary'›, ‹0x1F77›, ‹1_000_077›, ‹0o7077›, ‹0b101077› FROM nums

SET LOCAL app.user_id = ‹'canary-user'›

ALTER ROLE bob WITH PASSWORD ‹'canary-password'› VALID UNTIL ‹'2030-01-01'›

PREPARE plan (int) AS SELECT * FROM t WHERE a = $1 AND b = ‹'canary'›

EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM t WHERE ts >= TIMESTAMP WITH TIME ZONE ‹'2024-05-05 10:00:00+02'› AND zone = ‹'canary'›

SELECT * FROM t TABLESAMPLE BERNOULLI (‹12.5077›) WHERE a ~ ‹'^canary[0-9]+$'› AND b !~* ‹'x|canary2'› AND c <@ ARRAY[‹11077›, ‹22077›]

MERGE INTO stock s USING deliveries d ON s.sku = d.sku WHEN MATCHED AND d.qty = ‹0077› THEN DELETE WHEN NOT MATCHED THEN INSERT (sku, qty) VALUES (d.sku, ‹99077›)

NOTIFY channel, ‹'canary payload'›

SELECT "it's", "a""b" FROM "weird -- name" WHERE "x/*y*/" = ‹'canary'› ⟦-- canary comment
⟧ AND z = %s AND w = %(w)s

SELECT xmlelement(name foo, ‹'canary'›), row(‹1077›, ‹'canary2'›), ‹'canary3'› COLLATE "de_DE", date ‹'2024-01-01'› + ‹7077› FROM generate_series(‹1078›, ‹9078›)

DO ‹$$ BEGIN PERFORM pg_sleep(1); -- canary
END $$›

DECLARE c1 CURSOR FOR SELECT * FROM big WHERE a <> ‹'canary'›

SELECT ‹'first canary'›
  ‹'second canary'› AS continued FROM t
