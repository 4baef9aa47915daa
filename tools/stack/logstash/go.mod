module perfagent/logstash

go 1.26.8

require (
	github.com/breml/logstash-config v0.5.3
	github.com/elastic/go-grok v0.3.1
)

require github.com/magefile/mage v1.15.0 // indirect
