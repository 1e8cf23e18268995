import { ApolloClient, ApolloLink, InMemoryCache } from '@apollo/client';
import { QueryClient } from '@tanstack/react-query';
import { SWRConfig } from 'swr';
import { createMemoryMonitor } from '@memwarden/client';
import { watchApolloCache } from '@memwarden/react/adapters/apollo';
import { watchSwrCache } from '@memwarden/react/adapters/swr';
import { watchQueryCache } from '@memwarden/react/adapters/tanstack';

const monitor = createMemoryMonitor(); // goes to <MemoryMonitorProvider monitor={monitor}>
const queryClient = new QueryClient();
const apolloClient = new ApolloClient({ cache: new InMemoryCache(), link: ApolloLink.empty() });

watchQueryCache(monitor, queryClient);
watchSwrCache(monitor, SWRConfig.defaultValue.cache);
watchApolloCache(monitor, apolloClient);
