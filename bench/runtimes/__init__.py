"""The same stateful work on labelloop's transport, stock Faust, Quix Streams, Bytewax and a plain Kafka loop."""
