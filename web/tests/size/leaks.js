export * from '@memwarden/client';
export * from '@memwarden/react';
export * from '@memwarden/react/leaks';
