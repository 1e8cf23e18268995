import { useEffect } from 'react';
import { useMemoryMonitor } from '../context';
import { page } from './guest';
import { leakWatchOf } from './watch';

/**
 * Tells the leak watch of an object that should go when the component does, or when it is given another one: for what the
 * probes cannot see, such as objects that are kept by others without the component. Does nothing where nobody watches, nor
 * for what is no object yet.
 */
export function useLeakTracking(object: object, name: string): void {
  const monitor = useMemoryMonitor();
  useEffect(() => (leakWatchOf(monitor)?.track ?? page.__memwarden)?.(object, name), [monitor, object, name]);
}
