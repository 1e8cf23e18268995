export {createMemoryMonitor} from '@memwarden/client';
export {compareSnapshots} from '@memwarden/client';
export * from '@memwarden/react';
export {watchLeaks} from '@memwarden/react/leaks';
export * from '@memwarden/react/leaks';
export * from '@memwarden/react/adapters/tanstack';
