"""MQTT 3.1.1 on the subjects of an account, as nats-server has it; sessions live in memory."""
