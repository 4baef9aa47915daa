# Takes away what looks like a secret, whatever the event: fields by their name, and parts of texts.

SCRUB_FIELDS = /authorization|cookie|passw|secret|token|api[-_.]?key|credential|session[-_.]?id|\Aquery_string\z/i
SCRUB_GONE = "[REDACTED]"
SCRUB_TEXTS = {
  # The query of an address, and its user and password.
  %r{((?:\bhttps?://|(?<![\w/])/)[^\s"'?#<>]*)\?[^\s"'<>]+} => "\\1?#{SCRUB_GONE}",
  %r{(://)[^/\s@]+@} => "\\1#{SCRUB_GONE}@",
  /\b(Bearer|Basic)\s+[\w.~+\/=-]{8,}/i => "\\1 #{SCRUB_GONE}",
  /((?:authorization|passw(?:or)?d|secret|token|api[-_]?key)["']?\s*[=:]\s*["']?)(?!Bearer|Basic)[^\s"',;&]+/i =>
    "\\1#{SCRUB_GONE}",
}.freeze

def register(_params); end

def filter(event)
  [LogStash::Event.new(clean(event.to_hash))]
end

def clean(value)
  case value
  when Hash then value.reject { |name, _| SCRUB_FIELDS.match?(name) }.transform_values { |inner| clean(inner) }
  when Array then value.map { |inner| clean(inner) }
  when String then SCRUB_TEXTS.reduce(value) { |text, (pattern, instead)| text.gsub(pattern, instead) }
  else value
  end
end
