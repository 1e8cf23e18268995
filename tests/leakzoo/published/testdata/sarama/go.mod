module sarama

go 1.26
