SELECT id, name FROM users WHERE email = ‹'ann.canary@example.org'› AND age > ‹42001› FETCH FIRST ‹10077› ROWS ONLY

SELECT ‹q'[it's canary]'›, ‹Q'!don't canary2!'›, ‹nq'{a'b canary3}'›, ‹q'<x'y canary4>'›, ‹q'(p'q canary5)'› FROM dual

INSERT ALL INTO t (a, b) VALUES (‹1077›, ‹'it''s canary'›) INTO u VALUES (‹2077›, ‹N'canary2'›) SELECT * FROM dual

MERGE INTO stock s USING (SELECT :sku sku, ‹77001› qty FROM dual) d ON (s.sku = d.sku) WHEN MATCHED THEN UPDATE SET s.qty = s.qty + d.qty WHERE s.kind = ‹'canary'› WHEN NOT MATCHED THEN INSERT (sku, qty) VALUES (d.sku, ‹-77002›)

UPDATE "Accounts" SET "Balance" = "Balance" - ‹100077.5› WHERE id = :1 AND opened < DATE ‹'2024-01-31'› AND seen > TO_DATE(‹'31.01.2024 canary'›, ‹'DD.MM.YYYY canary2'›)

BEGIN pkg.do_it(p_name => ‹'canary'›, p_id => ‹77001›, p_out => :out); COMMIT; END;

SELECT level, CONNECT_BY_ROOT name FROM emp START WITH mgr IS NULL AND kind = ‹'canary'› CONNECT BY NOCYCLE PRIOR id = mgr AND level <= ‹5077›

SELECT LISTAGG(name, ‹', canary'›) WITHIN GROUP (ORDER BY name) FROM t WHERE ROWNUM <= ‹1077› AND a NOT IN (‹'canary2'›, ‹'canary3'›)

SELECT ⟦/*+ INDEX(t canary) */⟧ a, INTERVAL ‹'5 canary'› DAY, TIMESTAMP ‹'2024-01-01 00:00:00'›, ‹1.5077e3f›, ‹.077d› FROM t

ALTER USER scott IDENTIFIED BY ‹"canary"› REPLACE ‹canary2›

CREATE USER bob IDENTIFIED BY ‹canary› DEFAULT TABLESPACE users

CREATE DATABASE LINK l CONNECT TO scott IDENTIFIED BY ‹canary7› USING ‹'canary8'›

DECLARE v VARCHAR2(‹30077›) := ‹'canary'›; BEGIN EXECUTE IMMEDIATE ‹'DELETE FROM t WHERE a = ''canary2'''› USING v; END;

SELECT a FROM t WHERE b = ‹'C:\canary\'› AND c = ‹'canary2'› AND d = :d ⟦-- canary3
⟧ AND e = ‹1077›

SELECT XMLELEMENT("x", ‹'canary'›), t.doc.name, JSON_VALUE(doc, ‹'$.canary2'› RETURNING NUMBER) FROM t WHERE JSON_EXISTS(doc, ‹'$?(@.a == "canary3")'›)
