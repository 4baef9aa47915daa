-- The market's tables, and enough in them that a missing index is felt.
CREATE TABLE products (
    id integer PRIMARY KEY, name text NOT NULL, category text NOT NULL, price integer NOT NULL, stock integer NOT NULL
);
CREATE TABLE reviews (
    id integer PRIMARY KEY, product_id integer NOT NULL, stars integer NOT NULL, written timestamp NOT NULL,
    body text NOT NULL
);
CREATE TABLE customers (
    id integer PRIMARY KEY, name text NOT NULL, country text NOT NULL
);
CREATE TABLE orders (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id integer NOT NULL,
    placed timestamp NOT NULL DEFAULT now(), total integer NOT NULL
);
CREATE TABLE order_lines (
    order_id integer NOT NULL, product_id integer NOT NULL, quantity integer NOT NULL, price integer NOT NULL
);
CREATE TABLE cart_items (
    customer_id integer NOT NULL, product_id integer NOT NULL, quantity integer NOT NULL,
    PRIMARY KEY (customer_id, product_id)
);
INSERT INTO products
SELECT n, 'Product ' || n, (ARRAY['books', 'garden', 'kitchen', 'music', 'office', 'toys'])[1 + n % 6], 100 + n * 7 % 9000, 1000000
FROM generate_series(1, 6000) AS n;
INSERT INTO reviews
SELECT n, 1 + n % 6000, 1 + n % 5, timestamp '2026-01-01' + n * interval '1 minute', repeat('As described, in time. ', 3)
FROM generate_series(1, 600000) AS n;
INSERT INTO customers
SELECT n, 'Customer ' || n, (ARRAY['AT', 'CH', 'DE', 'DK', 'FR', 'NL'])[1 + n % 6] FROM generate_series(1, 5000) AS n;
INSERT INTO orders (customer_id, placed, total)
SELECT 1 + n % 5000, timestamp '2026-01-01' + n * interval '1 minute', 500 + n * 13 % 50000
FROM generate_series(1, 60000) AS n;
INSERT INTO order_lines
SELECT 1 + n % 60000, 1 + n * 7 % 6000, 1 + n % 3, 100 + n % 9000 FROM generate_series(1, 500000) AS n;
CREATE INDEX reviews_product ON reviews (product_id, written);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX order_lines_order ON order_lines (order_id);
CREATE INDEX products_category ON products (category);
ANALYZE;
