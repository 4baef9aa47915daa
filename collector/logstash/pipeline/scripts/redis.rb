# A line of Redis' log, whose parts grok has found, as an event in the words of ECS.

require "time"

REDIS_LEVELS = { "." => "debug", "-" => "verbose", "*" => "notice", "#" => "warning" }.freeze
REDIS_ROLES = { "X" => "sentinel", "C" => "child", "S" => "replica", "M" => "master" }.freeze

def register(_params); end

def filter(event)
  found = {
    "@timestamp" => moment(event.get("[redis][log][time]")) || event.get("@timestamp"),
    "data_stream" => { "type" => "logs", "dataset" => "redis.log", "namespace" => "default" },
    "event" => { "dataset" => "redis.log", "module" => "redis" },
    "service" => { "type" => "redis" },
    # Lines that are no message of the server, such as those of a crash report, stay as they are.
    "message" => event.get("[redis][log][text]") || event.get("message"),
  }
  mark, role, pid = event.get("[redis][log][mark]"), event.get("[redis][log][role]"), event.get("[process][pid]")
  file, tags = event.get("[log][file][path]"), event.get("tags")
  found["log"] = { "level" => REDIS_LEVELS[mark], "file" => file && { "path" => file } }.compact
  found["redis"] = { "log" => { "role" => REDIS_ROLES[role] } } if role
  found["process"] = { "pid" => pid } if pid
  found["tags"] = tags if tags
  [LogStash::Event.new(found)]
end

def moment(text)
  Time.strptime("#{text} UTC", "%d %b %Y %H:%M:%S.%L %Z").strftime("%Y-%m-%dT%H:%M:%S.%3NZ")
rescue ArgumentError
  nil
end
