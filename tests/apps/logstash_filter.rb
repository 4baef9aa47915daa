# Runs one script of Logstash's ruby filter on events: JSON lines in, JSON lines out. It stands in for Logstash's
# filter and its Event, of which it has what the scripts use: https://www.elastic.co/docs/reference/logstash/event-api
require "json"

module LogStash
  class Event
    def initialize(fields = {})
      @fields = { "@version" => "1", "@timestamp" => "1970-01-01T00:00:00.000Z" }.merge(fields)
    end

    def get(reference)
      path = reference.start_with?("[") ? reference.scan(/\[([^\]]+)\]/).flatten : [reference]
      path.reduce(@fields) { |inner, name| inner.is_a?(Hash) ? inner[name] : nil }
    end

    def to_hash
      @fields
    end
  end
end

script = ARGV.fetch(0)
context = Object.new
context.instance_eval(File.read(script), script)
context.register({})
$stdin.each_line do |line|
  context.filter(LogStash::Event.new(JSON.parse(line))).each { |event| puts JSON.generate(event.to_hash) }
end
