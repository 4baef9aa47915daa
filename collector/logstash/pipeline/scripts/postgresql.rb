# A line of PostgreSQL's jsonlog as an event in the words of ECS, without the values that people have typed.
# https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-JSONLOG

require "ipaddr"
require "time"

POSTGRESQL_FIELDS = {
  "user" => "user.name",
  "pid" => "process.pid",
  "dbname" => "postgresql.log.database",
  "application_name" => "postgresql.log.application_name",
  "backend_type" => "postgresql.log.backend_type",
  "ps" => "postgresql.log.command_tag",
  "query_id" => "postgresql.log.query_id",
  "state_code" => "postgresql.log.sql_state_code",
  "hint" => "postgresql.log.hint",
}.freeze

# Strings, dollar-quoted strings and numbers; quoted identifiers are matched so that they are passed over. What is cut
# off in the middle of a string goes to its end.
POSTGRESQL_LITERALS = /
  (?<name>"(?:[^"]|"")*")
  | \$(?<tag>[A-Za-z_]\w*|)\$.*?(?:\$\k<tag>\$|\z)
  | \b[Ee]'(?:\\.|''|[^'\\])*(?:'|\z)
  | '(?:''|[^'])*(?:'|\z)
  | (?<![\w$.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)
/mx

# duration: 612.313 ms  statement: SELECT …      duration: 0.02 ms  bind S_1: SELECT …      statement: SELECT …
POSTGRESQL_STATEMENT = /
  \A(?:duration:\s(?<ms>[\d.]+)\sms)?\s*
  (?:(?<step>statement|parse|bind|execute|fastpath\sfunction\scall)(?<named>\s[^:]+)?:\s(?<sql>.*))?\z
/mx

def register(_params); end

def filter(event)
  found = {
    "data_stream" => { "type" => "logs", "dataset" => "postgresql.log", "namespace" => "default" },
    "event" => { "dataset" => "postgresql.log", "module" => "postgresql" },
    "service" => { "type" => "postgresql" },
  }
  POSTGRESQL_FIELDS.each { |key, path| put(found, path, event.get(key)) }
  put(found, "@timestamp", moment(event.get("timestamp")))
  put(found, "log.level", event.get("error_severity").to_s.downcase)
  put(found, "log.file.path", event.get("[log][file][path]"))
  client(found, event)
  words(found, event)
  [LogStash::Event.new(found)]
end

def client(found, event)
  address = event.get("remote_host").to_s
  return if address.empty? || address == "[local]"

  put(found, "client.address", address)
  put(found, "client.port", event.get("remote_port"))
  IPAddr.new(address)
  put(found, "client.ip", address)
rescue IPAddr::Error
  nil # a host name, where log_hostname is on
end

def words(found, event)
  message = event.get("message").to_s
  state = event.get("state_code").to_s
  if (told = POSTGRESQL_STATEMENT.match(message)) && (told[:ms] || told[:sql])
    put(found, "event.duration", (told[:ms].to_f * 1_000_000).round) if told[:ms]
    put(found, "postgresql.log.query_step", told[:step])
    put(found, "postgresql.log.query_name", told[:named].to_s.strip)
    put(found, "postgresql.log.query", masked(told[:sql]))
    message = message[0, message.length - told[:sql].length] + masked(told[:sql]) if told[:sql]
  elsif state.start_with?("22")
    message = message.gsub(/"[^"]*"/, '"?"') # a value that does not fit its type stands in the message
  end
  put(found, "message", message)
  put(found, "postgresql.log.query", masked(event.get("statement"))) if event.get("statement")
  put(found, "postgresql.log.detail", detail(event.get("detail"))) if event.get("detail")
  put(found, "postgresql.log.context", masked(event.get("context"))) if event.get("context")
  return unless %w[ERROR FATAL PANIC].include?(event.get("error_severity"))

  put(found, "error.code", state)
  put(found, "error.message", message)
end

# Key (email)=(anna@example.org) already exists.      Failing row contains (1, anna).      parameters: $1 = 'anna'
def detail(text)
  masked(text.gsub(/=\(.*?\)(?=\s|\.|\z)/m, "=(?)").sub(/(row contains )\(.*\)/m, '\1(?)'))
end

def masked(sql)
  sql&.gsub(POSTGRESQL_LITERALS) { Regexp.last_match[:name] || "?" }
end

def moment(text)
  Time.strptime(text, "%Y-%m-%d %H:%M:%S.%L %Z").utc.strftime("%Y-%m-%dT%H:%M:%S.%3NZ")
rescue ArgumentError, TypeError
  nil
end

# Sets a field by its path; what is empty is left out.
def put(fields, path, value)
  return if value.nil? || value == ""

  *parents, last = path.split(".")
  parents.reduce(fields) { |inner, name| inner[name] ||= {} }[last] = value
end
