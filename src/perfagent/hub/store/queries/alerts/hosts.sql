-- The machines that each service has or had processes on.
SELECT DISTINCT service, json_extract_string(attributes, '$."host.name"') AS host
FROM resources
WHERE json_extract_string(attributes, '$."host.name"') IS NOT NULL
