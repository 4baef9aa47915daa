# OTLP's log records as events in the words of ECS: one request of the Collector comes in, each of its records goes out.
# https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding and https://www.elastic.co/docs/reference/ecs

require "json"

OTLP_RESOURCE = {
  "service.name" => "service.name",
  "service.version" => "service.version",
  "service.instance.id" => "service.node.name",
  "deployment.environment.name" => "service.environment",
  "host.name" => "host.name",
  "host.id" => "host.id",
  "host.arch" => "host.architecture",
  "container.id" => "container.id",
  "k8s.namespace.name" => "kubernetes.namespace",
  "k8s.pod.name" => "kubernetes.pod.name",
  "k8s.node.name" => "kubernetes.node.name",
  "process.pid" => "process.pid",
  "telemetry.sdk.language" => "service.language.name",
}.freeze

OTLP_RECORD = {
  "exception.type" => "error.type",
  "exception.message" => "error.message",
  "exception.stacktrace" => "error.stack_trace",
  "code.file.path" => "log.origin.file.name",
  "code.line.number" => "log.origin.file.line",
  "code.function.name" => "log.origin.function",
  "thread.id" => "process.thread.id",
  "thread.name" => "process.thread.name",
  "url.full" => "url.full",
  "url.path" => "url.path",
  "http.request.method" => "http.request.method",
  "http.response.status_code" => "http.response.status_code",
}.freeze

OTLP_LEVELS = %w[trace debug info warn error fatal].freeze

def register(_params); end

def filter(event)
  (event.get("resourceLogs") || []).flat_map do |sent|
    resource = pairs(sent.dig("resource", "attributes"))
    (sent["scopeLogs"] || []).flat_map do |scope|
      (scope["logRecords"] || []).map do |record|
        LogStash::Event.new(fields(record, resource, scope.dig("scope", "name")))
      end
    end
  end
end

def fields(record, resource, logger)
  found = {
    "data_stream" => { "type" => "logs", "dataset" => "app", "namespace" => "default" },
    "event" => { "dataset" => "app" },
  }
  # Zero is "unknown" in OTLP; a record without any time keeps that of its arrival.
  time = [record["timeUnixNano"], record["observedTimeUnixNano"]].map(&:to_i).find(&:positive?)
  found["@timestamp"] = moment(time) if time
  put(found, "message", text(record["body"]))
  put(found, "log.level", level(record))
  put(found, "log.logger", logger)
  put(found, "trace.id", record["traceId"])
  put(found, "span.id", record["spanId"])
  resource.each { |name, value| put(found, OTLP_RESOURCE[name], value) if OTLP_RESOURCE[name] }
  pairs(record["attributes"]).each do |name, value|
    if OTLP_RECORD[name]
      put(found, OTLP_RECORD[name], value)
    else
      put(found, ["labels", name.gsub(/[^A-Za-z0-9_]+/, "_")], value.is_a?(String) ? value : value.to_json)
    end
  end
  found
end

def level(record)
  named = record["severityText"].to_s
  return named.downcase unless named.empty?

  number = record["severityNumber"].to_i
  OTLP_LEVELS[(number - 1) / 4] if number.between?(1, 24)
end

def moment(nanoseconds)
  seconds, rest = nanoseconds.divmod(1_000_000_000)
  Time.at(seconds, rest, :nsec).utc.strftime("%Y-%m-%dT%H:%M:%S.%9NZ")
end

def text(body)
  value = plain(body)
  value.nil? || value.is_a?(String) ? value : value.to_json
end

def pairs(attributes)
  (attributes || []).to_h { |one| [one["key"], plain(one["value"])] }
end

# An AnyValue as what it holds; 64-bit integers are strings in OTLP's JSON.
def plain(value)
  kind, held = (value || {}).first
  case kind
  when "intValue" then held.to_i
  when "arrayValue" then (held["values"] || []).map { |one| plain(one) }
  when "kvlistValue" then pairs(held["values"])
  else held
  end
end

# Sets a field by its path, with dots or as a list; what is empty is left out.
def put(fields, path, value)
  return if value.nil? || value == ""

  *parents, last = path.is_a?(Array) ? path : path.split(".")
  parents.reduce(fields) { |inner, name| inner[name] ||= {} }[last] = value
end
