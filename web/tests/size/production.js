// All but the bookkeeping of holders, which is for development.
export * from '@memwarden/client';
export * from '@memwarden/react';
export { leakWatchOf, useLeakTracking, watchLeaks } from '@memwarden/react/leaks';
export * from '@memwarden/react/adapters/tanstack';
export * from '@memwarden/react/adapters/swr';
export * from '@memwarden/react/adapters/apollo';
