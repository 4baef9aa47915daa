SELECT `id`, `name` FROM `shop`.`users` WHERE `email` = ‹"ann.canary@example.org"› AND `age` > ‹42001› LIMIT ‹10077›, ‹20077›

SELECT * FROM users WHERE name = ‹'O\'Brien canary'› AND nick = ‹"say \"canary\""› AND x = ‹'back\\slash canary\\'› AND y = ‹''›

INSERT INTO orders (id, total, note) VALUES (‹70001›, ‹99.9577›, ‹'it''s canary'›), (‹70002›, ‹-1.077›, ‹"say ""canary"" twice"›) ON DUPLICATE KEY UPDATE total = VALUES(total) + ‹1077›

UPDATE accounts SET balance = balance - ‹100077.50›, note = CONCAT(note, ‹' canary'›) WHERE id IN (‹1001›,‹1002›,‹1003›) ORDER BY id LIMIT ‹5077›

SELECT ‹0x4D7953514C77›, ‹X'4D79canary'›, ‹b'10100077'›, ‹0b10177›, ‹1e1077›, ‹N'canary'›, _utf8mb4‹'canary2'› COLLATE utf8mb4_bin

SELECT doc->‹'$.canary'›, doc->>‹"$.canary2[0]"› FROM t WHERE JSON_CONTAINS(doc, ‹'{"token": "canary3"}'›)

SELECT a FROM t WHERE b = ‹'canary'› ⟦# canary comment 'quoted'
⟧ AND c = ‹1077› ⟦-- canary2
⟧ AND d = %s

SELECT STRAIGHT_JOIN a.x, b.y FROM a FORCE INDEX (ix) LEFT JOIN b USING (id) WHERE a.d >= DATE_SUB(NOW(), INTERVAL ‹7077› DAY) GROUP BY a.x WITH ROLLUP HAVING COUNT(*) > ‹3077›

REPLACE INTO kv SET k = ‹'canary'›, v = ‹"canary2"›

DELETE t1, t2 FROM t1 INNER JOIN t2 WHERE t1.id = t2.id AND t2.name REGEXP ‹'^canary.*$'›

LOAD DATA LOCAL INFILE ‹'/tmp/canary.csv'› INTO TABLE t FIELDS TERMINATED BY ‹',canary'› ENCLOSED BY ‹'"canary'› LINES TERMINATED BY ‹'\ncanary'› IGNORE ‹1077› LINES (a, b, @c) SET d = @c * ‹2077›

CREATE USER ‹'canary'›@‹'localhost-canary2'› IDENTIFIED BY ‹'canary-password'›

GRANT SELECT, INSERT ON shop.* TO ‹'canary'›@‹'%.canary2'›

SET @token = ‹'canary'›, @n := ‹77001›, SESSION sql_mode = ‹'canary3'›

CALL do_it(@a, ‹'canary'›, ‹77001›, NULL, ‹TRUE›)

SELECT CASE `status` WHEN ‹'canary_open'› THEN ‹77001› WHEN ‹'canary_shut'› THEN ‹77002› ELSE ‹-77003› END AS rank_ FROM tickets

INSERT INTO t (a, b) SELECT c, ‹'canary'› FROM s WHERE e = ‹5077› AND f <=> NULL

CREATE TABLE logs (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, kind ENUM(‹'canary_a'›, ‹'canary_b'›) NOT NULL DEFAULT ‹'canary_c'› COMMENT ‹'canary d'›, KEY k (kind)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4

SELECT MATCH (title, body) AGAINST (‹'+canary -other'› IN BOOLEAN MODE) AS score FROM articles WHERE id BETWEEN ‹1077› AND ‹2077›

SELECT ‹'canary \' -- not a comment'›, ‹"canary2 # neither"›, ‹'canary3 /* nor this'› FROM t

SELECT ‹'first canary'› ‹"second canary"› FROM t WHERE x <> ‹-.5077› AND y = -z AND w = ‹+77.e2›

SELECT * FROM t WHERE ts > TIMESTAMP‹'2024-01-31 10:00:00'› AND d < DATE‹'2024-02-29'› AND who = ‹'canary'›

HANDLER t READ ix = (‹1077›, ‹'canary'›)

KILL QUERY ‹77001›

SELECT ‹'canary'› INTO OUTFILE ‹'/tmp/canary.txt'› FROM dual
