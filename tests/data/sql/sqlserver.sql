SELECT TOP (‹10077›) [id], [name] FROM [dbo].[Users] WITH (NOLOCK) WHERE [email] = ‹N'ann.canary@example.org'› AND age > ‹42001›

INSERT INTO #temp (a, b) OUTPUT inserted.id VALUES (‹1001›, ‹N'it''s canary'›), (‹1002›, ‹'canary2'›), (@p1, DEFAULT)

UPDATE t SET t.a = ‹0x0F77AB›, t.price = ‹$99077.50› FROM dbo.t AS t INNER JOIN u ON u.id = t.id WHERE u.path = ‹'C:\canary\'› AND u.kind = ‹'canary2'›

EXEC dbo.GetUser @name = ‹N'canary'›, @id = ‹77001›, @out = @x OUTPUT

DECLARE @a INT = ‹77001›, @b NVARCHAR(‹50077›) = ‹N'canary'›; SELECT @a, @b

MERGE dbo.stock WITH (HOLDLOCK) AS s USING (VALUES (‹1077›, ‹'canary'›)) AS d (sku, name) ON s.sku = d.sku WHEN NOT MATCHED BY TARGET THEN INSERT (sku, name) VALUES (d.sku, d.name);

SELECT CONVERT(VARCHAR(‹30077›), d, ‹12077›), DATEADD(day, ‹-7077›, GETDATE()), IIF(a = ‹1077›, ‹'canary'›, ‹'canary2'›) FROM [Order Details] ORDER BY id OFFSET ‹20077› ROWS FETCH NEXT ‹10078› ROWS ONLY

SELECT * FROM OPENJSON(@json, ‹'$.canary'›) WITH (id INT ‹'$.canary2'›, name NVARCHAR(‹50077›) ‹'$.canary3'›)

SELECT name FROM sys.tables WHERE name LIKE ‹'%[_]canary%'› ⟦-- canary2 it's
⟧ AND type = ‹'canary3'› ⟦/* canary4 */⟧

IF EXISTS (SELECT ‹1077› FROM t WHERE a = ‹'canary'›) PRINT ‹'canary2'› ELSE RAISERROR(‹'canary3 %d'›, ‹16077›, ‹1078›)

CREATE LOGIN bob WITH PASSWORD = ‹'canary-password'›, DEFAULT_DATABASE = [shop]

SELECT a FROM t FOR XML PATH(‹'canary'›), ROOT(‹'canary2'›)

EXEC sp_executesql ‹N'SELECT * FROM t WHERE a = @a AND b = ''canary'''›, ‹N'@a int, canary2'›, @a = ‹77001›
