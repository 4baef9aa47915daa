SELECT * FROM read_csv(‹'/data/canary.csv'›, header = ‹true›, delim = ‹'|canary2'›, columns = {‹'canary3'›: ‹'INTEGER canary4'›})

SELECT * FROM ‹'canary.parquet'› WHERE a > ‹42001› QUALIFY row_number() OVER (PARTITION BY b ORDER BY c) = ‹1077›

COPY (SELECT * FROM t WHERE a = ‹'it''s canary'›) TO ‹'out_canary2.parquet'› (FORMAT parquet, COMPRESSION ‹'zstd canary3'›)

CREATE SECRET s3 (TYPE s3, KEY_ID ‹'canary-key'›, SECRET ‹'canary-secret'›, REGION ‹'canary-region'›)

SELECT [‹1001›, ‹1002›, ‹1003›] AS list, {‹'canary'›: ‹1077›, name: ‹'canary2'›} AS struct, MAP {‹'canary3'›: ‹2077›} FROM t

SELECT list_filter(a, x -> x > ‹5077›), a[‹1077›:‹2077›], s.field FROM t WHERE t.a::VARCHAR = ‹'canary'› AND path = ‹'C:\canary2\'›

INSERT INTO t BY NAME SELECT ‹77001› AS a, ‹'canary'› AS b

FROM t SELECT a, COLUMNS(‹'canary.*'›) WHERE b = $1 AND c = $name LIMIT ‹10.5›%

PIVOT cities ON year IN (‹2001›, ‹2002›) USING sum(population) GROUP BY country

ATTACH ‹'postgres://canary:pw@host/db'› AS pg (TYPE postgres, READ_ONLY)

SET memory_limit = ‹'10GB canary'›

SELECT ‹$$it's canary$$›, ‹$x$canary2$x$›, ‹E'it\'s canary3'›, ‹'\x41canary4'›::BLOB, ‹0x1F77›, ‹1_000_077›, ‹1e1077› FROM range(‹7077›)

UPDATE t SET a = a + INTERVAL ‹3077› DAY, b = DATE ‹'2024-01-31'›, c = TIMESTAMP ‹'2024-01-31 10:00:00'› WHERE d = ‹'canary'›

SELECT * FROM t ASOF JOIN u USING (k, ts) WHERE u.note <> ‹'canary'› ⟦-- canary2
⟧ ORDER BY ALL

SUMMARIZE SELECT * FROM t WHERE a = ‹'canary'›
