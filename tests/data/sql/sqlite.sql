SELECT id, name FROM users WHERE email = ‹'ann.canary@example.org'› AND age > ‹42001› LIMIT ‹10077› OFFSET ‹20077›

SELECT * FROM t WHERE path LIKE ‹'C:\canary\'› ESCAPE ‹'\'› AND b = ‹'canary2'›

INSERT OR REPLACE INTO kv (k, v) VALUES (?, ?), (‹'canary'›, ‹x'53514C697465'›), (?1, :name), (@name, $name)

INSERT INTO t VALUES (‹1001›, NULL, ‹'it''s canary'›, ‹1e-77›, ‹.5077›, ‹5077.›, ‹0xFF77›) ON CONFLICT DO NOTHING

SELECT json_extract(doc, ‹'$.canary'›), doc ->> ‹'$.canary2'› FROM docs WHERE doc -> ‹'canary3'› IS NOT NULL

UPDATE t SET a = a || ‹' canary'›, b = b + ‹77001› WHERE rowid IN (‹11077›, ‹12077›) RETURNING *

ATTACH DATABASE ‹'/home/canary/x.db'› AS other KEY ‹'canary-key'›

PRAGMA key = ‹'canary-pass'›

PRAGMA busy_timeout = ‹50077›

CREATE VIRTUAL TABLE docs USING fts5(title, body, tokenize = ‹'porter canary'›)

SELECT * FROM docs WHERE docs MATCH ‹'canary NEAR other'› ORDER BY rank

SELECT [item no], `a'b`, "c""d" FROM [order details] WHERE [x] GLOB ‹'*canary*'›

SELECT ‹'canary -- no comment'›, ‹'canary2 /* neither */'› FROM t ⟦-- canary3
⟧ WHERE a = ‹1077› ⟦/* canary4 ' " */⟧

WITH x(a, b) AS (VALUES (‹1077›, ‹'canary'›), (‹2077›, ‹'canary2'›)) SELECT * FROM x WHERE a >= ‹-3077›

SELECT strftime(‹'%Y canary'›, created, ‹'unixepoch canary2'›), CAST(‹'77001'› AS INTEGER), iif(a > ‹5077›, ‹'canary3'›, ‹'canary4'›) FROM t

SELECT count(*) FROM t WHERE a IS NOT ‹77001› AND b BETWEEN ‹-1077› AND ‹+2077› AND c IN (SELECT id FROM u WHERE d = ‹'canary'›)

CREATE TRIGGER tr AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (new.id, ‹'canary'›); SELECT RAISE(ABORT, ‹'canary2'›); END

CREATE INDEX ix ON t (lower(name)) WHERE deleted = ‹0077› AND kind = ‹'canary'›

SELECT ‹1_000_077›, ‹0x1F_77›, -a, - ‹5077›, a-‹1077›, a - ‹2077› FROM t

SELECT ‹'multi
line canary'›, a FROM t
