import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The page and the service behind one address, as in production: go run ./server/cmd/memwarden serve
export default defineConfig({ plugins: [react()], server: { proxy: { '/api': 'http://127.0.0.1:8080' } } });
