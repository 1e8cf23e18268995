import { useContext } from 'react';
import { TrackingContext } from './context';

/**
 * Counts the commits, mounts and live instances of the component that calls it, under a name that minifying leaves alone.
 * The name of the first render stays. Counting is done in an effect, and no clock is read: what React renders and throws
 * away is not counted. Without a provider, on a server and on a page that is not sampled it does nothing.
 */
export function usePerformanceTracking(name: string): void {
  const { monitor, useTracking } = useContext(TrackingContext);
  useTracking(monitor, name);
}
