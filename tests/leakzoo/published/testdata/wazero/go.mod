module wazero

go 1.26
