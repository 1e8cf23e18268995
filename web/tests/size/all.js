export * from '@memwarden/client';
export * from '@memwarden/react';
export * from '@memwarden/react/leaks';
export * from '@memwarden/react/adapters/tanstack';
export * from '@memwarden/react/adapters/swr';
export * from '@memwarden/react/adapters/apollo';
