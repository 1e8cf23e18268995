export * from '@memwarden/client';
export * from '@memwarden/react';
