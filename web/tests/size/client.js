export * from '@memwarden/client';
