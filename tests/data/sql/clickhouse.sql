SELECT id, name FROM shop.users PREWHERE email = ‹'ann.canary@example.org'› WHERE age > ‹42001› LIMIT ‹10077› BY id SETTINGS max_threads = ‹8077›

SELECT ‹'O\'Brien canary'›, ‹'back\\canary2\\'›, ‹'it''s canary3'›, "it's", `a'b` FROM t FINAL SAMPLE ‹0.1077›

INSERT INTO t (a, b) VALUES (‹1001›, ‹'canary'›), (‹1002›, ‹'canary2\''›)

SELECT [‹1001›, ‹1002›], (‹'canary'›, ‹1077›), map(‹'canary2'›, ‹2077›), arrayMap(x -> x + ‹3077›, arr) FROM t ARRAY JOIN arr

SELECT * FROM t WHERE a IN (‹'canary'›, ‹'canary2'›) AND d >= toDate(‹'2024-01-31'›) AND name = {name:String} FORMAT JSONEachRow

ALTER TABLE t UPDATE a = ‹'canary'› WHERE id = ‹77001›

SELECT * FROM s3(‹'https://bucket/canary.csv'›, ‹'canary-key'›, ‹'canary-secret'›, ‹'CSV canary2'›)

CREATE TABLE t (id UInt64, s String DEFAULT ‹'canary'›, d DateTime64(‹3077›, ‹'UTC canary2'›)) ENGINE = MergeTree PARTITION BY toYYYYMM(d) ORDER BY (id, s) TTL d + INTERVAL ‹1077› DAY

CREATE USER bob IDENTIFIED WITH sha256_password BY ‹'canary-password'›

SELECT quantile(‹0.9077›)(x), countIf(a = ‹'canary'›), if(b > ‹5077›, ‹'canary2'›, NULL) FROM t GROUP BY c WITH TOTALS HAVING count() > ‹3077›

SELECT ‹0xFF77›, ‹0b1077›, ‹1e77›, ‹-1.077›, ‹1_000_077›, ‹x'canary'› FROM numbers(‹10077›)

WITH ‹'canary'› AS needle SELECT position(hay, needle) FROM t ⟦-- canary2 it's
⟧ WHERE b = ‹'canary3'› ⟦/* canary4 ' */⟧

KILL QUERY WHERE query_id = ‹'canary-id'›
